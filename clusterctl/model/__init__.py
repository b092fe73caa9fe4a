"""What the user writes and what we learn: values only, no input or output."""

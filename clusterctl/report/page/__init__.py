"""The report as one page: picture, checks, paths, capture and transcript, in a file that stands alone."""

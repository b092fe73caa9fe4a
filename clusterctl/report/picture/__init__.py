"""The lab as a picture: what there is to draw (scene), where it goes (layout), and each format."""

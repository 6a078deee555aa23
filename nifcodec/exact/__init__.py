"""What of a picture is kept exactly, beside its field: constant channels, and where alpha is 0 or full."""

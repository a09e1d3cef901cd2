"""One command a file: parse options, call lib, print."""

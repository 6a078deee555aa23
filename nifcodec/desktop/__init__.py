"""What `pip` installs beside the package, for desktops and shells: docs/desktop.md."""

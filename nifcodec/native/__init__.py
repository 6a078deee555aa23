"""The native core: C99 sources, and what calls them."""

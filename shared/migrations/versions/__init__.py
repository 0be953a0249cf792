"""One module a revision. None is changed once it is released: a database may be at any of them."""

"""One file a kind of thing that a cluster has in the account or in its bucket; `registry` lists them."""

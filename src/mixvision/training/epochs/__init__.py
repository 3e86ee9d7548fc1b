"""Networks trained one by one, by epochs."""

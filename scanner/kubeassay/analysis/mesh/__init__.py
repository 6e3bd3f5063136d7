"""The service mesh: who is in it, what its proxies encrypt, and who may call whom through them."""

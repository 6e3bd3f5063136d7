"""Storage: classes, the claims that name them, and the pods that mount the claims. Pure functions of objects."""

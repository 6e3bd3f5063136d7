"""Who can do what: effective grants from RBAC objects, and what they escalate to."""

"""What fits: what pods ask for, what quotas and limit ranges allow, what namespaces need."""

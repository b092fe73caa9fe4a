"""The by-hand guide: the plan of `up` as a manual that a person can follow on bare hosts."""

"""What a person sees, as HTML: pure functions of the state and of whoever looks at it."""

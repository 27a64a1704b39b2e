"""The AWS account: what must be true in it before the first `up`, and what must be gone after `destroy`."""

"""Pure maths: tensors in, tensors out; one function an equation, which it cites."""

"""The half that asks: round loop and history."""

"""What the screens are made of. Widgets are handed what they show; they never query."""

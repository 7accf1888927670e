"""The market simulator: plays bars or trades onto a topic of its own at the pace of a virtual clock."""

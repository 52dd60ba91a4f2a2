"""The trainer's kit: all that a room of laptops needs, in a folder, on a share or on the room's network."""

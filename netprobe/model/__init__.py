"""The nouns: frozen, slotted records that every room shares, JSON in and out. Imports nothing of ours."""

"""ssh_config(5): text and flags in, one resolved set of options out. Nothing here connects or asks."""

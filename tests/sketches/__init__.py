"""Throw-in systems: crude parts and tiny sizes, to hold the notions to what recipes will ask of them.

Each module is a recipe: a function of its own name, and PRESETS. The properties run over every one of them.
"""

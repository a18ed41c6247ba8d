"""A module that ends like an engine that meets a bad file."""

import os

os.abort()

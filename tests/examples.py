"""Fewer random examples than the profile of this run has: for a property in many forms, or one that costs much."""

from hypothesis import settings

few_examples = settings(max_examples=max(1, settings().max_examples // 4))

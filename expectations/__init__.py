"""What is acceptable at each door, as suites and named rules.

A suite says what must hold and why; `analytics.gates` knows how to run it.
Importing a suite imports Great Expectations: do it inside functions.
"""

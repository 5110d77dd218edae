"""The main job behind `make run`: bring the stack up, load data by real DAG runs, show the end."""

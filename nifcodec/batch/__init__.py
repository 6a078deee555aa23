"""Many pictures to `.nif`: on the cores of this machine or on a cluster, safe to kill and to start again.

`driver.run` is the whole of it. It makes a `tasks.Task` of every input, has `convert.convert` done on each by a pool of
workers (`pools`), and keeps what came of it as the rows of a manifest (`manifest`).
"""

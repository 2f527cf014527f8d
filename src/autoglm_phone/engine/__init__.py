"""The engine's host side; imports no tensor library.

request.py       what travels between the front end and the engine     blocks.py        the pool of KV pages
sequence.py      state of a request                                    prefix_cache.py  pages by content
scheduler.py     which tokens run next                                 thinking.py      thinking budgets
core.py          Engine: one step at a time, errors per request        checks.py        bounds of a request
loop.py          AsyncEngine: thread and asyncio bridge; load_engine   stats.py         counts and histograms
interface.py     what engine and runner ask of each other
planning.py      where plans come from               depth.py         a plan's depth on one checkpoint
"""

"""Computes what the scheduler planned.

load.py            model folder → runner            model_runner.py    rows → tokens
spec.py            shapes of either family          batch.py           rows → backend metadata
checkpoint.py      safetensors by name              decoder.py         four segments and the head
weights.py         tensors → backend handles        cross_memory.py    keys and values of media (native)
towers.py          vision and audio, cached         sampler.py         logits → tokens
state.py           a request's state                sampling_state.py  counts and random streams
threads.py         one core or all                  lru.py             cache bounded in bytes
cascade.py         rows through the segments        lane.py            one row on its way
pending.py         states that wait at a boundary   drafting.py        drafts and their verification
exits.py           how sure an exit is              scoring.py         log-probabilities of prompts
"""

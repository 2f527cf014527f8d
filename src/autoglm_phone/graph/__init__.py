"""The dynamic graph's decisions: what a request's graph contains, when that changes, and what really ran. No tensors.

plan.py       what the graph of a request contains now        trace.py       what ran
request.py    a client's `graph` field                        planner.py     writes and refines plans
kv.py         which KV pages stay                             rewrite.py     changes the KV policy while streaming
length.py     how many tokens will come                       graph_file.py  graph.json: what calibration found
risk.py       learn then test                                 calibrate.py   thresholds and bars for a stated risk
records.py    a model's answers at every depth                fit.py         records → graph.json
costs.py      milliseconds of a pass, measured while serving  controller.py  when leaving early pays
drafting.py   how many tokens to draft                        setup.py       folder and configuration → planner
groups.py     what is calibrated apart: text, pictures, …     cli.py        `autoglm-phone exits …`
"""

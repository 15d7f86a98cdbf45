"""Runs llama.cpp's HTTP server until killed: `llama_main.py MODEL.gguf PORT SLOTS`."""

import sys
import threading

import xllamacpp

model, port, slots = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
params = xllamacpp.CommonParams()
params.model.path = model
params.n_ctx, params.n_parallel, params.warmup = 8192 * slots, slots, False
params.hostnames, params.port = ["127.0.0.1"], port
params.endpoint_slots = params.endpoint_metrics = True
params.cpuparams.n_threads = 1
params.fit_params = False
server = xllamacpp.Server(params)
sys.stdout.write("ready\n")
sys.stdout.flush()
threading.Event().wait()

"""Latency on devices: this host, or phones that adb reaches; answers of what is emulated.

::

    device.py         the seam: what is asked of a device and what it answers
    host.py           this machine, in process
    adb_client.py     the adb program: found, called, its failures told apart
    phone.py          one phone: a folder of its own on it, launches, its facts
    benchmark_*.py    the command line, the log and the result file of TensorFlow Lite's
                      benchmark_model
    benchmark_tool.py the user's program itself: where it is, whether it fits, why it failed
    answers.py        a phone's outputs beside the host's
    adb.py            a phone behind the seam: rounds in turns, again where they cannot be believed
    belief.py         from rounds to figures, and whether they can be believed
    tflite_runtime.py tflite-runtime in its isolated environment, for the host
    arm_tree.py       an arm64 Debian with LiteRT, and the qemu that runs its programs
    vulkan_tree.py    SwiftShader, a Vulkan device of software, and a Python that finds it
    emulated.py       these behind the seam: answers only
    select.py         from ``host``, ``adb:SERIAL``, ``all`` to devices, and all of them at once
"""

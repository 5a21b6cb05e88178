"""Random faults for minutes: a real gateway before four simulated platforms that fail at random, under mixed load.

    dealer.py    switches faults of every kind on and off, from a seed
    load.py      some ten calls a second, of every kind that a bank makes; calls.py makes and checks them
    restless.py  a consent that comes and goes while it is in use
    truth.py     what the simulated world holds; calming.py what views show before the faults, and again after them
    held.py      what must hold of every answer; ending.py what must hold when it is over
    house.py     the processes: platforms.py with the four sandboxes, and `xinyidai serve`
    machine.py   whether the machine itself was busy
    record.py    what was seen: every breach with the seed, the faults that were on, and the call

Each run prints its seed. Set in the environment:

    XINYIDAI_SOAK_SEED      the seed of faults and load; drawn anew without it
    XINYIDAI_SOAK_S         seconds of faults in each setting, 60 by default
    XINYIDAI_SOAK_CALM_S    seconds of calm after them, 20 by default

Faults and load are drawn from the seed; what meets what is a matter of the machine's time, so that a seed makes a failure
likely to be seen again, not certain.
"""

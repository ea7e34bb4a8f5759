"""A thin door for `accelerate launch`: takes the arguments of `selfplay run`.

accelerate launch --config_file accelerate_config.yaml --num_processes 2 scripts/run.py configs/quickstart.yaml
"""

import sys

from selfplay.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "run")
    main()

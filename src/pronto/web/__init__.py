"""The pages: what people see in a browser. Everything else is in edge/."""

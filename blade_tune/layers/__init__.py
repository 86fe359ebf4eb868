"""The parts that models are built from; each is a plain nn.Module that knows no model and no data set."""

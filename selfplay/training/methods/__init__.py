"""Training methods, one file each. A method's settings class says what data it needs, how it orders them, and how it trains."""

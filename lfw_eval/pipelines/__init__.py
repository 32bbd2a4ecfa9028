"""What a verb runs: a job in, a result out."""

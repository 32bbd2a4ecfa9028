"""1:N identification over arrays: search of a gallery, CMC and TPIR at FPIR."""

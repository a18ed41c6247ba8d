-- loses: certificates of parity, and what the engines read back
DROP TABLE certificates;
DROP TABLE catalog_readbacks;

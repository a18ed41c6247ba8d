-- What makes a repeated import cheap: knowing that nothing changed without sending it again.

-- A delivery is all that a source read for one trade date; its digest covers names and contents of the files.
ALTER TABLE loads ADD COLUMN delivery_digest text;
-- A crash between two partitions of a delivery must not pass for a delivery that was taken in whole.
ALTER TABLE loads ADD COLUMN delivery_parts integer CHECK (delivery_parts > 0);
ALTER TABLE loads ADD CHECK ((delivery_digest IS NULL) = (delivery_parts IS NULL));
COMMENT ON COLUMN loads.delivery_parts IS 'Number of partitions the delivery fills.';
CREATE INDEX loads_delivery ON loads (source, trade_date, delivery_digest) WHERE delivery_digest IS NOT NULL;
COMMENT ON COLUMN loads.delivery_digest IS
    'Digest over the files read for the trade date, shared by the loads made of them; null when the source has none.';

CREATE TABLE partition_fingerprints (
    dataset text NOT NULL,
    source text COLLATE "C" NOT NULL,
    trade_date date NOT NULL,
    bar_seconds integer NOT NULL,
    rows bigint NOT NULL CHECK (rows > 0),
    close_sum numeric NOT NULL,
    volume_sum numeric NOT NULL,
    row_hashes bytea NOT NULL,
    PRIMARY KEY (dataset, source, trade_date, bar_seconds),
    CHECK (octet_length(row_hashes) = 8 * rows)
);
-- Hashes do not compress.
ALTER TABLE partition_fingerprints ALTER COLUMN row_hashes SET STORAGE EXTERNAL;
COMMENT ON TABLE partition_fingerprints IS
    'Eight bytes for each stored row of a partition, in key order: what a re-import compares itself with. Derived; a partition without one, or whose count and sums disagree with it, is compared row by row.';

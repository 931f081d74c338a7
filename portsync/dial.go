package portsync

import (
	"context"

	"portsyncd/internal/sonicdb"
)

// dial connects to a database until ctx ends, which closes the connection: whoever
// is in an exchange at that moment, with a server that answers little by little,
// does not delay the end of the process.
func dial(ctx context.Context, db sonicdb.Database) (*sonicdb.Conn, error) {
	c, err := sonicdb.Dial(ctx, db.Options())
	if err != nil {
		return nil, err
	}
	c.CloseWith(ctx)
	return c, nil
}

package portsync

import (
	"context"

	"portsyncd/internal/sonicdb"
)

// dial connects to a database. When ctx ends, the connection is closed, so a request with a slow
// server does not delay the shutdown.
func dial(ctx context.Context, db sonicdb.Database) (*sonicdb.Conn, error) {
	c, err := sonicdb.Dial(ctx, db.Options())
	if err != nil {
		return nil, err
	}
	c.CloseWith(ctx)
	return c, nil
}

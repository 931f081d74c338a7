package conventions

import (
	"testing"

	"portsyncd/internal/switchtest"
)

func TestMain(m *testing.M) { switchtest.MainWithoutLock(m) }

package databases

import (
	"testing"

	"portsyncd/internal/switchtest"
)

func TestMain(m *testing.M) { switchtest.Main(m) }

package lab

import (
	"flag"
	"runtime"
	"strconv"
)

// SetParallel sets -parallel to perCPU tests per CPU unless it is set on the command line. Call it
// from TestMain in packages whose tests mostly wait.
func SetParallel(perCPU int) error {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == parallelFlag })
	if given {
		return nil
	}
	return flag.Set(parallelFlag, strconv.Itoa(perCPU*runtime.GOMAXPROCS(0)))
}

const parallelFlag = "test.parallel"

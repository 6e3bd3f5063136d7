// Package lines has what all programs share that tests ask what other tools do: they read one question a line (JSON) from
// standard input, and write one answer a line to standard output.
package lines

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// The longest line.
const longest = 64 << 20

// Answer answers questions to the end of the input. What cannot be read, or has no answer, ends the program.
func Answer[Q, A any](answer func(Q) (A, error)) {
	AnswerRaw(func(line []byte) (A, error) {
		var asked Q
		if err := json.Unmarshal(line, &asked); err != nil {
			var none A
			return none, err
		}
		return answer(asked)
	})
}

// AnswerRaw answers lines as they stand.
func AnswerRaw[A any](answer func([]byte) (A, error)) {
	Must(answerRaw(answer))
}

func answerRaw[A any](answer func([]byte) (A, error)) error {
	// Not buffered: who asks may wait for an answer before the next question.
	encoder := json.NewEncoder(os.Stdout)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, longest)
	for in.Scan() {
		said, err := answer(in.Bytes())
		if err != nil {
			return err
		}
		if err := encoder.Encode(said); err != nil {
			return err
		}
	}
	return in.Err()
}

// Must ends the program with an error, where there is one.
func Must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

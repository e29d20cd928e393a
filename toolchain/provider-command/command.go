package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	provider "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Command is command:local:Command.
type Command struct{}

// Annotate sets the published type token.
func (c *Command) Annotate(a infer.Annotator) {
	a.SetToken("local", "Command")
}

// CommandArgs are the inputs of the published resource.
type CommandArgs struct {
	Create                 *string            `pulumi:"create,optional"`
	Update                 *string            `pulumi:"update,optional"`
	Delete                 *string            `pulumi:"delete,optional"`
	Triggers               *[]any             `pulumi:"triggers,optional" provider:"replaceOnChanges"`
	Environment            *map[string]string `pulumi:"environment,optional"`
	Stdin                  *string            `pulumi:"stdin,optional"`
	Dir                    *string            `pulumi:"dir,optional"`
	Interpreter            *[]string          `pulumi:"interpreter,optional"`
	Logging                *string            `pulumi:"logging,optional"`
	AssetPaths             *[]string          `pulumi:"assetPaths,optional"`
	ArchivePaths           *[]string          `pulumi:"archivePaths,optional"`
	AddPreviousOutputInEnv *bool              `pulumi:"addPreviousOutputInEnv,optional"`
}

// CommandState is what is kept: the inputs and the output of the last run.
type CommandState struct {
	CommandArgs
	Stdout string `pulumi:"stdout"`
	Stderr string `pulumi:"stderr"`
}

// Create runs the create command, if one is given.
func (*Command) Create(ctx context.Context, req infer.CreateRequest[CommandArgs]) (infer.CreateResponse[CommandState], error) {
	state := CommandState{CommandArgs: req.Inputs}
	var resp infer.CreateResponse[CommandState]
	id, err := resource.NewUniqueHex(req.Name, 8, 0)
	if err == nil && !req.DryRun && req.Inputs.Create != nil {
		err = run(ctx, *req.Inputs.Create, &state, nil)
	}
	resp.ID, resp.Output = id, state
	return resp, err
}

// Update runs the update command, or the create command where there is none.
func (*Command) Update(ctx context.Context, req infer.UpdateRequest[CommandArgs, CommandState]) (infer.UpdateResponse[CommandState], error) {
	state := CommandState{CommandArgs: req.Inputs, Stdout: req.State.Stdout, Stderr: req.State.Stderr}
	command := req.Inputs.Update
	if command == nil {
		command = req.Inputs.Create
	}
	var err error
	if !req.DryRun && command != nil {
		err = run(ctx, *command, &state, &req.State)
	}
	return infer.UpdateResponse[CommandState]{Output: state}, err
}

// Delete runs the delete command, if one is given.
func (*Command) Delete(ctx context.Context, req infer.DeleteRequest[CommandState]) (infer.DeleteResponse, error) {
	if req.State.Delete == nil {
		return infer.DeleteResponse{}, nil
	}
	state := req.State
	return infer.DeleteResponse{}, run(ctx, *req.State.Delete, &state, &req.State)
}

func run(ctx context.Context, command string, state *CommandState, previous *CommandState) error {
	if state.AssetPaths != nil || state.ArchivePaths != nil {
		return errors.New("assetPaths and archivePaths are not supported by this build of the command provider")
	}
	argv := []string{"/bin/sh", "-c"}
	if state.Interpreter != nil && len(*state.Interpreter) > 0 {
		argv = *state.Interpreter
	}
	argv = append(append([]string{}, argv...), command)
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	// On cancellation the command gets the chance to clean up before it is killed.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = environment(state, previous)
	if state.Dir != nil {
		cmd.Dir = *state.Dir
	}
	if state.Stdin != nil && *state.Stdin != "" {
		cmd.Stdin = strings.NewReader(*state.Stdin)
	}
	mode := "stdoutAndStderr"
	if state.Logging != nil && *state.Logging != "" {
		mode = *state.Logging
	}
	var stdout, stderr bytes.Buffer
	var wg sync.WaitGroup
	outLog := logLines(ctx, &wg, strings.HasPrefix(mode, "stdout"))
	errLog := logLines(ctx, &wg, mode == "stderr" || mode == "stdoutAndStderr")
	cmd.Stdout = io.MultiWriter(&stdout, outLog)
	cmd.Stderr = io.MultiWriter(&stderr, errLog)
	err := cmd.Run()
	outLog.Close()
	errLog.Close()
	wg.Wait()
	state.Stdout = strings.TrimSuffix(stdout.String(), "\n")
	state.Stderr = strings.TrimSuffix(stderr.String(), "\n")
	if err != nil {
		return fmt.Errorf("%w: running %q:\n%s%s", err, command, stdout.String(), stderr.String())
	}
	return nil
}

func environment(state *CommandState, previous *CommandState) []string {
	env := os.Environ()
	if previous != nil && (state.AddPreviousOutputInEnv == nil || *state.AddPreviousOutputInEnv) {
		env = append(env, "PULUMI_COMMAND_STDOUT="+previous.Stdout, "PULUMI_COMMAND_STDERR="+previous.Stderr)
	}
	if state.Environment != nil {
		for key, value := range *state.Environment {
			env = append(env, key+"="+value)
		}
	}
	return env
}

// logLines forwards what is written to it to the engine's log, a line at a time, until it is closed.
func logLines(ctx context.Context, wg *sync.WaitGroup, enabled bool) io.WriteCloser {
	reader, writer := io.Pipe()
	wg.Add(1)
	go func() {
		defer wg.Done()
		lines := bufio.NewReader(reader)
		for {
			line, err := lines.ReadString('\n')
			if line = strings.TrimRight(line, "\r\n"); enabled && line != "" {
				provider.GetLogger(ctx).InfoStatus(line)
			}
			if err != nil {
				_, _ = io.Copy(io.Discard, reader)
				return
			}
		}
	}()
	return writer
}
